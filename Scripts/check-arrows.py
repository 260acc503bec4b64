#!/usr/bin/env python3
"""Holds the imports in Sources/ against the arrows drawn in ARCHITECTURE.md, and Package.swift against both.

The block between the fences marked `arrows` in ARCHITECTURE.md has one line a module: `Name -> A, B, C`. A module may import
what stands right of its arrow, nothing else of ours. Exits 1 with one line per forbidden import.
"""
import json
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent


def drawn_arrows():
    text = (root / "ARCHITECTURE.md").read_text()
    block = re.search(r"```arrows\n(.*?)```", text, re.S)
    if not block:
        sys.exit("check-arrows: ARCHITECTURE.md has no block fenced as ```arrows")
    arrows = {}
    for line in block.group(1).splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, targets = line.partition("->")
            arrows[name.strip()] = {target.strip() for target in targets.split(",") if target.strip()}
    return arrows


def package_arrows():
    output = subprocess.run(
        ["swift", "package", "dump-package"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    targets = [t for t in json.loads(output)["targets"] if t["type"] != "test"]
    ours = {target["name"] for target in targets}
    return {
        target["name"]: {
            dependency["byName"][0]
            for dependency in target["dependencies"]
            if "byName" in dependency and dependency["byName"][0] in ours
        }
        for target in targets
    }


def source_imports(module):
    pattern = re.compile(
        r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+"
        r"(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+)",
        re.M,
    )
    for path in sorted((root / "Sources" / module).rglob("*.swift")):
        for match in pattern.finditer(path.read_text()):
            yield path.relative_to(root), match.group(1)


def main():
    drawn, declared = drawn_arrows(), package_arrows()
    problems = []
    for module in sorted(set(drawn) | set(declared)):
        if module not in drawn:
            problems.append(f"{module}: in Package.swift, not in ARCHITECTURE.md")
        elif module not in declared:
            problems.append(f"{module}: in ARCHITECTURE.md, not in Package.swift")
        else:
            for target in sorted(declared[module] - drawn[module]):
                problems.append(f"{module} -> {target}: declared in Package.swift, not drawn in ARCHITECTURE.md")
            for path, imported in source_imports(module):
                if imported in declared and imported != module and imported not in drawn[module]:
                    problems.append(f"{path}: {module} may not import {imported}")
    for problem in problems:
        print(problem)
    print(f"arrows: {len(declared)} modules, {len(problems)} forbidden")
    sys.exit(1 if problems else 0)


main()
