# SPDX-License-Identifier: Apache-2.0
#
# Holds memory.schema.json against the files of tests/config:
#
#     try_schema.py SCHEMA ACCEPTED ERRORS FILE...
#
# Every .yaml of the folder ACCEPTED and every FILE must be valid; every .yaml of the folder ERRORS
# must not, but for those listed in its beyond-schema.txt. Exit codes: 0 all so, 1 not.
import json
import os
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2: `on` and `1_000` are texts, `0o17` is a number."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
                  r"|\.(nan|NaN|NAN)", "-+0123456789.")]:
    Loader.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile("^(?:%s)$" % pattern),
                                 list(first))


def read_int(loader, node):
    text = loader.construct_scalar(node)
    base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
    return int(text, base)


Loader.add_constructor("tag:yaml.org,2002:int", read_int)


def keys_as_text(value):
    """What JSON makes of the keys of a mapping."""
    if isinstance(value, dict):
        return {str(key): keys_as_text(item) for key, item in value.items()}
    return [keys_as_text(item) for item in value] if isinstance(value, list) else value


def find_fault(validator, path):
    """The first complaint, or None; what cannot be read is one too."""
    try:
        with open(path, "rb") as file:
            value = keys_as_text(yaml.load(file.read(), Loader))
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        return "unreadable: %s" % type(error).__name__
    errors = list(validator.iter_errors(value))
    return errors[0].message if errors else None


def read_unseen(folder):
    """The mistakes that this validator lets pass."""
    with open(os.path.join(folder, "beyond-schema.txt"), encoding="utf-8") as file:
        rows = [line.split() for line in file if not line.startswith("#")]
    return {row[0] for row in rows if row[1] in ("all", "python")}


def main(schema_path, accepted, errors, *files):
    with open(schema_path, "rb") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    failures = []
    good = [os.path.join(accepted, name) for name in sorted(os.listdir(accepted))] + list(files)
    for path in good:
        fault = find_fault(validator, path)
        if fault is not None:
            failures.append("%s: refused: %s" % (path, fault))
    bad = [name[:-5] for name in sorted(os.listdir(errors)) if name.endswith(".yaml")]
    unseen = read_unseen(errors)
    for name in bad:
        fault = find_fault(validator, os.path.join(errors, name + ".yaml"))
        if (fault is None) != (name in unseen):
            failures.append("%s: %s" % (name, fault or "accepted"))
    properties = dict(schema["properties"])
    groups = list(properties["groups"]["patternProperties"].values())[0]["properties"]
    for name, rule in list(properties.items()) + list(groups.items()):
        for complaint in jsonschema.Draft7Validator(rule).iter_errors(rule["default"]):
            failures.append("default of %s: %s" % (name, complaint.message))
    print("\n".join(failures) or "schema: %d files valid, %d refused, %d beyond a schema" %
          (len(good), len(bad) - len(unseen), len(unseen)))
    return 1 if failures or not unseen <= set(bad) else 0


sys.exit(main(*sys.argv[1:]))
