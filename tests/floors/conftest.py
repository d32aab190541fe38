"""The reference values of audits."""

from tests.audits.conftest import reference as reference
