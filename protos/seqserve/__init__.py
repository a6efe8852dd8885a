"""Wire code of seqserve, generated from the protos beside it; remade by `make protos`."""
