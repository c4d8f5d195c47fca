"""Asks the libraries of the tables again, and holds their answers against the column `peer`.

    python3 tests/cors/peers/record/record.py [express starlette tower-http actix-cors]

Each is installed in its version into a folder that goes away again. A recorder reads cases as JSON on
standard input and writes answers as JSON: {"status", "handler", "headers"} or {"refused"}. Lists in
headers are compared as sets: actix-cors writes them in another order each time. rs/cors is not run here:
its column was read from its source.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent


def express(folder):
    packages = ["express@5.3.0", "cors@2.8.6"]
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--prefix", folder, *packages], check=True)
    return ["node", HERE / "express.cjs", folder]


def starlette(folder):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = pathlib.Path(folder) / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "starlette==1.10.0"], check=True)
    return [python, HERE / "starlette_recorder.py"]


def rust(name):
    def build(folder):
        manifest = HERE / "rust" / "Cargo.toml"
        build = ["cargo", "build", "--quiet", "--manifest-path", manifest, "--target-dir", folder]
        subprocess.run(build, check=True)
        return [pathlib.Path(folder) / "debug" / "record-rust-peers", name]

    return build


RECORDERS = {
    "express": express,
    "starlette": starlette,
    "tower-http": rust("tower-http"),
    "actix-cors": rust("actix-cors"),
}


def case(table, row):
    handler = {"status": 200, "headers": [], "fails": False} | row.get("handler", {})
    options = table["policies"][row["policy"]]["options"]
    return {"options": options, "method": row["method"], "request": row["request"], "handler": handler}


def comparable(answer):
    if "refused" in answer:
        return "refused"
    lists = ("vary", "access-control-allow-methods", "access-control-allow-headers", "access-control-expose-headers")
    headers = []
    for line in answer["headers"]:
        name, value = line.split(":", 1)
        name, value = name.lower(), value.strip()
        headers.append((name, sorted(e.strip() for e in value.split(",")) if name in lists else value))
    return answer["status"], answer["handler"], sorted(headers, key=repr)


def main():
    different = 0
    for name in sys.argv[1:] or RECORDERS:
        table = tomllib.loads((HERE.parent / f"{name}.toml").read_text())
        with tempfile.TemporaryDirectory() as folder:
            command = RECORDERS[name](folder)
            cases = json.dumps([case(table, row) for row in table["case"]])
            run = subprocess.run(command, input=cases, capture_output=True, text=True, check=True)
        answers = json.loads(run.stdout)
        for row, answer in zip(table["case"], answers, strict=True):
            if comparable(row["peer"]) != comparable(answer):
                different += 1
                print(f"{name}: {row['name']}\n  table {row['peer']}\n  now   {answer}")
        print(f"{name} {table['version']}: {len(answers)} rows asked")
    print(f"{different} rows differ")
    sys.exit(1 if different else 0)


main()
