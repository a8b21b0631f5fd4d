package upload

// What S3 takes, see "Amazon S3 multipart upload limits" in its user guide.
const (
	maxKeyLength = 1024
	maxParts     = 10_000
	maxPart      = 5 << 30
)

// wholeLimit is the largest file, in bytes, that is sent in one request.
const wholeLimit = 16 << 20

// leastPart is the least that S3 takes for a part, but for the last, in bytes.
const leastPart = 5 << 20

// minPart is the smallest part size in bytes: smaller ones spend the requests that
// the destination grants per second.
const minPart = 8 << 20

// partSize returns the size of all parts but the last of an object of this size: the
// least multiple of 1 MiB, from minPart up, that gives at most maxParts.
func partSize(size int64) int64 {
	const mebi = 1 << 20
	least := (size + maxParts - 1) / maxParts
	return max((least+mebi-1)/mebi*mebi, minPart)
}

// pacedPart is the largest part, in bytes, that is made larger only because requests are
// paced: what is lost with a request must stay little.
const pacedPart = 64 << 20

// choosePartSize returns the part size of a file. Where the destination grants requests by
// the second, larger parts carry more in each, as long as there are enough to fill the
// window twice.
func (u *Uploader) choosePartSize(prefix string, file int64) int64 {
	const mebi = 1 << 20
	size := partSize(file)
	window, rate := u.gate.limit(prefix)
	if rate == 0 || window == 0 {
		return size
	}
	return max(size, min(file/int64(2*window)/mebi*mebi, pacedPart))
}

// Requests returns how many requests it takes to store a file of this size.
func Requests(size int64) int64 {
	if size <= wholeLimit {
		return 1
	}
	return requests(size)
}

// StreamRequests returns about how many requests it takes to store a stream of this size.
func StreamRequests(size int64) int64 {
	if size <= partSize(size) {
		return 1
	}
	return requests(size)
}

// requests counts the parts, and what creates and completes the upload.
func requests(size int64) int64 {
	part := partSize(size)
	return (size+part-1)/part + 2
}
