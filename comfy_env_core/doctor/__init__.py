"""What `doctor` looks at. Each check yields findings and changes nothing that it does not take back."""
