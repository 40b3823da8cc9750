"""How much the fuzz tests try: 300 cases each, 10,000 where MATIR_SLOW=1 (make test-slow)."""

import os

from hypothesis import HealthCheck, settings

N_CASES = 10_000 if os.environ.get("MATIR_SLOW") == "1" else 300

fuzzed = settings(
    max_examples=N_CASES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)
"""For the tests of this folder: `@fuzzed` above `@given(...)`."""
