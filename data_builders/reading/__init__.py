"""Files to rows: JSON, CSV, Parquet, hub data sets, and the forms their columns come in."""
