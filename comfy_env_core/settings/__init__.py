"""What people choose for all ComfyUIs of the machine: one file in the store, laid under the environment variables."""
