"""The user.py of a board under test: answers what the test asks by files, ten times a second."""

import json
import os


def turn(program):
    try:
        os.remove("ask")
    except OSError:
        return 100
    with open("answer.new", "w") as file:
        json.dump(program.status(), file)
    os.rename("answer.new", "answer")
    return 100
