// Package worker moves archives under a lease: the engine obeys grants and
// reports what came of them, and the agent carries both to and from the API.
package worker
