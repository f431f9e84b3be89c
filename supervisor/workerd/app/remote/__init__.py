"""Asking the nodes of the cluster over the broker."""
