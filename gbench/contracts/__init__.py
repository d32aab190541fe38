"""What holds for every model, dataset and encoding, and is checked by `gbench check` and the tests.

A contract is one sentence that a user's results rest on, and a function that looks whether it
holds on tiny data. A thing that has to break one says so itself, with its reason, in an attribute:
`contracts = {"layer-wise": "its solver looks over all nodes at each step"}`.
"""
