"""Search by FAISS for very large indexes: built on request, measured, always re-scored exactly."""
