// Command benchcontrolplane measures what coordinating a large fleet asks of the API server
// and of the manager: puppets that follow the protocol of workers, and send nothing, against
// a real control plane and the real manager.
package main
