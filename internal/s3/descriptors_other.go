//go:build !unix

package s3

// DescriptorLimit returns 0: other systems have no such limit, or none that they tell.
func DescriptorLimit() int { return 0 }
