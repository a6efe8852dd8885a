"""What `seqserve doctor` looks at: one file for each section of its report."""
