"""The parts of `Guard`: its arguments and variables, checks of a caller, and several guards as one."""
