"""How much a run draws: the profiles of the service's tests, which are in a folder of the same name as this one.

PYTEST_DONT_REWRITE
"""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import hypothesis

PLUGIN = "chatkeep_profiles"

_spec = spec_from_file_location(PLUGIN, Path(__file__).parents[2] / "tests" / "profiles.py")
assert _spec
assert _spec.loader
_profiles = module_from_spec(_spec)
sys.modules[PLUGIN] = _profiles
_spec.loader.exec_module(_profiles)

count = _profiles.count
examples: Callable[..., hypothesis.settings] = _profiles.examples
databases_of = _profiles.databases_of
