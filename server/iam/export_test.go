package iam

// Remembered returns how many addresses and keys are remembered.
func (a *Attempts) Remembered() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.tallies)
}
