// Command benchmemory measures how much memory the manager needs for a large fleet: the
// control core, the objects that its cache holds, and what a tick makes of them.
package main
