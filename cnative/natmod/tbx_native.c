/* The C core as a MicroPython native module: the chunker's face, and nothing else. Same name and same answers as
 * core/chunker.py, which is the reference (README.md has the interface).
 *
 * A native module has no initialised data and, here, no static memory either: the type is made on the heap at
 * import and kept alive by the module's own dictionary. A chunker is one heap object of 68 to 72 bytes; views are
 * read in place and not kept.
 */
#include "py/dynruntime.h"

#include "toastbox.h"

typedef struct {
    mp_obj_base_t base;
    tbx_chunker state;
} chunker_obj;

/* What the compiler may call for an initialiser. */
#ifdef __thumb__
void *memset(void *memory, int value, size_t size);

void *memset(void *memory, int value, size_t size)
{
    return mp_fun_table.memset_(memory, value, size);
}
#endif

static void NORETURN refuse(void)
{
    mp_raise_ValueError("size out of range");
}

/* An argument from 0 to 2^32 - 1. The runtime cuts larger numbers off; a size that comes back another is refused. */
static uint32_t size_argument(mp_obj_t object)
{
    uint32_t size = (uint32_t)mp_obj_get_int(object);

    if (mp_binary_op(MP_BINARY_OP_EQUAL, mp_obj_new_int_from_uint(size), object) != mp_const_true) {
        refuse();
    }
    return size;
}

static mp_obj_t chunker_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args)
{
    uint32_t sizes[3];

    mp_arg_check_num(n_args, n_kw, 0, 3, false);
    for (size_t i = 0; i < 3; i++) {
        sizes[i] = i < n_args ? size_argument(args[i]) : UINT32_C(16384) << (2 * i);
    }
    chunker_obj *self = mp_obj_malloc(chunker_obj, type);
    if (tbx_chunker_init(&self->state, sizes[0], sizes[1], sizes[2]) != TBX_OK) {
        refuse();
    }
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t chunker_scan(mp_obj_t self_in, mp_obj_t view)
{
    chunker_obj *self = MP_OBJ_TO_PTR(self_in);
    mp_buffer_info_t data;
    size_t used = 0;

    mp_get_buffer_raise(view, &data, MP_BUFFER_READ);
    int found = tbx_chunker_scan(&self->state, data.buf, data.len, &used);
    return MP_OBJ_NEW_SMALL_INT(found == 1 ? (mp_int_t)used : -1);
}
static MP_DEFINE_CONST_FUN_OBJ_2(chunker_scan_obj, chunker_scan);

static mp_obj_t chunker_cuts(mp_obj_t self_in, mp_obj_t view)
{
    chunker_obj *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t ends = mp_obj_new_list(0, NULL);
    mp_buffer_info_t data;
    size_t at = 0;

    mp_get_buffer_raise(view, &data, MP_BUFFER_READ);
    for (size_t used = 0; at < data.len; used = 0) {
        int found = tbx_chunker_scan(&self->state, (const uint8_t *)data.buf + at, data.len - at, &used);
        at += used;
        if (found == 1) {
            mp_obj_list_append(ends, MP_OBJ_NEW_SMALL_INT((mp_int_t)at));
        }
    }
    return ends;
}
static MP_DEFINE_CONST_FUN_OBJ_2(chunker_cuts_obj, chunker_cuts);

static mp_obj_t chunker_reset(mp_obj_t self_in)
{
    chunker_obj *self = MP_OBJ_TO_PTR(self_in);

    tbx_chunker_reset(&self->state);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(chunker_reset_obj, chunker_reset);

static void add_method(mp_obj_t methods, qstr name, const void *function)
{
    mp_obj_dict_store(methods, MP_OBJ_NEW_QSTR(name), MP_OBJ_FROM_PTR(function));
}

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args)
{
    MP_DYNRUNTIME_INIT_ENTRY
    mp_obj_t methods = mp_obj_new_dict(3);
    add_method(methods, MP_QSTR_scan, &chunker_scan_obj);
    add_method(methods, MP_QSTR_cuts, &chunker_cuts_obj);
    add_method(methods, MP_QSTR_reset, &chunker_reset_obj);

    mp_obj_full_type_t *type = m_malloc(sizeof(*type));
    mp_fun_table.memset_(type, 0, sizeof(*type));
    type->base.type = &mp_type_type;
    type->name = MP_QSTR_Chunker;
    MP_OBJ_TYPE_SET_SLOT(type, make_new, chunker_make_new, 0);
    MP_OBJ_TYPE_SET_SLOT(type, locals_dict, MP_OBJ_TO_PTR(methods), 1);
    mp_store_global(MP_QSTR_Chunker, MP_OBJ_FROM_PTR(type));
    MP_DYNRUNTIME_INIT_EXIT
}
