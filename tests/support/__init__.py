"""What tests share: real HTTP origins with named faults, a Hub-shaped one, and makers of small model files."""
