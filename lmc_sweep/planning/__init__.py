"""Planning: a sweep becomes items, the store is subtracted, the rest becomes batches with estimates."""
