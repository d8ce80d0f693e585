"""The sections of an audit: each looks at one side of the measured object and says what follows."""
