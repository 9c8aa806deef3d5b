"""Marks a test that failed, so that fixtures can show logs."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    return report
