"""``python -m audit.zipped FILE``: the offline verifier and all that it imports, as one file that Python runs.

The same sources give the same bytes.
"""

import ast
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAIN = "audit.standalone"
_SHEBANG = b"#!/usr/bin/env python3\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def modules(name: str = MAIN) -> set[str]:
    """``name`` and what of ours it imports, itself or by others."""
    found, left = set[str](), [name]
    while left:
        module = left.pop()
        if module in found:
            continue
        found |= {module, module.partition(".")[0]}
        tree = ast.parse(_source(module).read_text())
        imports = [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        left += [item for item in imports if item.startswith(("audit.", "config."))]
    return found


def _source(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def write(out: Path) -> None:
    """Write the program to ``out``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    sources = {_source(module) for module in modules()}
    with out.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(sources):
                archive.writestr(zipfile.ZipInfo(path.relative_to(ROOT).as_posix(), _EPOCH), path.read_bytes())
            start = f"import sys\nfrom {MAIN} import main\nsys.exit(main())\n"
            archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), start)
    out.chmod(0o755)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
