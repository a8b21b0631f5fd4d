package coordination

// HasWorker tells whether a worker is known: it was added or adopted, and has
// been neither removed nor, after an unconfirmed removal, outlived by its lease.
func (c *PipelineCoordinator) HasWorker(id WorkerID) bool { return c.workers[id] != nil }
