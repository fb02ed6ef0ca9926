"""Names from the words that documents of a cluster use more than others do. No model, no network.

texts -> an even `sample` without `boilerplate` -> words (`tokens`) -> candidate `phrases` and their counts -> `scores`
-> `candidates` as they are written -> `labels`; `namer` does it for all layers, and names by `values` instead where
texts are few short values.
"""
