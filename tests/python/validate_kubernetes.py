"""Validates objects against Kubernetes' own schemas, of every version from the oldest given on.

    validate_kubernetes.py OLDEST < objects.json

The input is a list of {"case", "object"}. No field may be unknown. A ServiceMonitor is not
Kubernetes' own: it is held against service_monitor.schema.json beside this file. Prints how many
objects were validated, and against which versions; what is wrong goes to standard error.
"""

import functools
import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

# A schema has megabytes, and is read anew for every object.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)

SERVICE_MONITOR = json.loads(
    pathlib.Path(__file__).with_name("service_monitor.schema.json").read_text()
)


def number(version):
    return tuple(int(part) for part in version.split(".")[:2])


def problems(found, version):
    """What is wrong with an object in one version."""
    if found["apiVersion"] == "monitoring.coreos.com/v1" and found["kind"] == "ServiceMonitor":
        errors = jsonschema.Draft202012Validator(SERVICE_MONITOR).iter_errors(found)
        return [f"{error.json_path}: {error.message}" for error in errors]
    try:
        used = kubernetes_validate.validate(found, version, strict=True)
    except utils.SchemaNotFoundError as error:
        return [error.message]
    except jsonschema.ValidationError as error:
        return [f"{error.json_path}: {error.message}"]
    return [] if used == version else [f"validated as {used}"]


def main():
    oldest = number(sys.argv[1])
    known = {number(version) for version in utils.all_versions()}
    versions = [f"{a}.{b}" for a, b in sorted(known) if (a, b) >= oldest]
    objects = json.load(sys.stdin)
    wrong = [
        f"{entry['case']}, Kubernetes {version}: {entry['object']['kind']}"
        f" {entry['object']['metadata']['name']}: {problem}"
        for entry in objects
        for version in versions
        for problem in problems(entry["object"], version)
    ]
    print(json.dumps({"objects": len(objects), "versions": versions}))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong or not versions else 0


if __name__ == "__main__":
    sys.exit(main())
