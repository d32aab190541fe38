"""The reference values of audits."""

from tests.audit.conftest import reference as reference
