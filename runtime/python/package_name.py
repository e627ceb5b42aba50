NAME, VERSION, TAG = "deq", "0.2.0", "py3-none-any"
