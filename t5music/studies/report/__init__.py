"""Reports of studies: tables, statistics, pictures and pages."""
