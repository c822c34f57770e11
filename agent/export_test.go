package agent

// Lock is lock, for tests.
var Lock = lock
