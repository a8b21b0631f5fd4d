// Package lab puts the conditions of a path to S3, its policing, delays, faults and
// missing features, in front of any S3 server.
package lab
