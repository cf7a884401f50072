"""The networks of keras.applications, and the embedded one."""
