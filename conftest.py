"pytest's settings for the exported tests."


def pytest_pycollect_makeitem(collector, name, obj):
    "fastcore's assertions (`test_eq`, …) are named like tests and are none."
    if getattr(obj, '__module__', '') == 'fastcore.test': return []
