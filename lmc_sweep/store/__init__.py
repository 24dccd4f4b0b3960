"""The store: Parquet records that make results exist, safetensors artifacts, DuckDB views over both.

Files are truth, and a record file is the only thing that makes a result exist. Nothing here plans,
executes or draws, and reading records needs no torch.
"""
