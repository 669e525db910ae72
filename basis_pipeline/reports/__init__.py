"""Pages: tear sheets, comparisons, gates, data audits and studies, with their PDFs and pictures."""
