"""The base of the contract classes: what it checks, deviations, and that nothing is overridden in silence."""

import subprocess
import sys
from types import ModuleType

import pytest

from codex_host.hookspecs import hookimpl
from codex_host.parts import Provider
from codex_host.testing.contract import Contract
from codex_host.testing.provider import ProviderContract


def a_module(hook):
    module = ModuleType("a_module")
    module.codex_provider = hookimpl(hook)
    return module


def contract_for(hook):
    class Example(ProviderContract):
        module = a_module(hook)
        name = "example"
        config = None

    return Example()


class TestMake:
    def test_the_hook_gets_what_it_takes(self):
        given = []

        def codex_provider(name, parts):
            given.append((name, parts))

        assert contract_for(codex_provider).make(parts="the parts") is None
        assert given == [("example", "the parts")]

    def test_a_hook_that_takes_more_is_rejected(self):
        def codex_provider(name, database):
            return None

        with pytest.raises(Exception, match="database"):
            contract_for(codex_provider).test_hooks_are_known_and_no_wrappers()

    def test_an_unknown_hook_is_rejected(self):
        contract = contract_for(lambda name: None)
        contract.module.codex_provdier = hookimpl(lambda name: None)
        with pytest.raises(Exception, match="codex_provdier"):
            contract.test_hooks_are_known_and_no_wrappers()

    def test_a_wrapper_is_rejected(self):
        contract = contract_for(lambda name: None)

        def codex_provider(name):
            return (yield)

        contract.module.codex_provider = hookimpl(wrapper=True)(codex_provider)
        with pytest.raises(AssertionError, match="codex_provider"):
            contract.test_hooks_are_known_and_no_wrappers()

    def test_a_part_for_every_name_is_rejected(self):
        contract = contract_for(lambda name: Provider("Example", "http://127.0.0.1/v1"))
        with pytest.raises(AssertionError, match="no-such-part"):
            contract.test_answers_none_to_other_names()

    def test_parts_are_absent_unless_given(self):
        def codex_provider(name, parts):
            return parts.provider("inner")

        with pytest.raises(Exception, match="no provider called 'inner'"):
            contract_for(codex_provider).make()


class TestRules:
    def test_a_contract_test_cannot_be_overridden(self):
        with pytest.raises(TypeError, match="overrides test_makes_the_part of Contract"):

            class Example(ProviderContract):
                def test_makes_the_part(self):
                    pass

    def test_nor_switched_off(self):
        with pytest.raises(TypeError, match="overrides test_makes_the_part"):

            class Example(ProviderContract):
                test_makes_the_part = None

    def test_nor_by_a_mixin(self):
        class Mixin:
            def test_makes_the_part(self):
                pass

        with pytest.raises(TypeError, match="overrides test_makes_the_part"):

            class Example(Mixin, ProviderContract):
                pass

    def test_a_deviation_names_a_test(self):
        with pytest.raises(TypeError, match="'test_nothing', which is no contract test"):

            class Example(Contract):
                deviations = {"test_nothing": "there is none"}  # noqa: RUF012

    def test_a_deviation_has_a_reason(self):
        with pytest.raises(TypeError, match="no reason"):

            class Example(Contract):
                deviations = {"test_makes_the_part": " "}  # noqa: RUF012


EXAMPLE = """
from types import ModuleType

import pytest

from codex_host.parts import Provider
from codex_host.hookspecs import hookimpl
from codex_host.testing.provider import ProviderContract

@hookimpl
def codex_provider(name):
    return Provider("Example", "http://127.0.0.1/v1/") if name == "example" else None

class TestExample(ProviderContract):
    module = __import__("sys").modules[__name__]
    name = "example"
    deviations = {
        "test_base_url_takes_a_path": "it is a joke",
        "test_metadata_claims_the_name": "it is not installed",
        DEVIATION
    }
"""


@pytest.mark.parametrize(
    ("deviation", "code", "said"),
    [("", 0, "2 xfailed"), ("'test_makes_the_part': 'not so',", 1, "[XPASS(strict)] not so")],
)
def test_deviations_are_expected_and_checked(tmp_path, deviation, code, said):
    (tmp_path / "test_example.py").write_text(EXAMPLE.replace("DEVIATION", deviation))
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, said in run.stdout) == (code, True), run.stdout
