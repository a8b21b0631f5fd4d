package lab

import (
	"cmp"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listedPart is a part as ListParts tells of it.
type listedPart struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
	Checksum     []any
}

// pageSize is the most that a listing tells at once.
const pageSize = 1000

func (d *Discard) listParts(w http.ResponseWriter, r *http.Request, t target) {
	after, _ := strconv.Atoi(r.URL.Query().Get("part-number-marker")) // Absent is 0.
	d.mu.Lock()
	u := d.uploads[t.uploadID]
	var parts []listedPart
	if u != nil {
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			if p := u.parts[n]; n > after {
				parts = append(parts, listedPart{n, stamp(p.at), p.etag, p.size, p.elements()})
			}
		}
	}
	d.mu.Unlock()
	if u == nil {
		noSuchUpload().write(w, r)
		return
	}
	more := len(parts) > pageSize
	parts = parts[:min(len(parts), pageSize)]
	next := 0
	if more {
		next = parts[pageSize-1].PartNumber
	}
	writeXML(w, struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []listedPart
	}{
		Bucket: t.bucket, Key: t.key, UploadID: t.uploadID,
		NextPartNumberMarker: next, MaxParts: pageSize, IsTruncated: more, Part: parts,
	})
}

func (d *Discard) listUploads(w http.ResponseWriter, r *http.Request, t target) {
	type upload struct {
		Key       string
		UploadID  string `xml:"UploadId"`
		Initiated string
	}
	prefix, after := r.URL.Query().Get("prefix"), r.URL.Query().Get("key-marker")
	var uploads []upload
	d.mu.Lock()
	for id, u := range d.uploads {
		if u.bucket == t.bucket && strings.HasPrefix(u.key, prefix) && u.key > after {
			uploads = append(uploads, upload{u.key, id, stamp(u.begun)})
		}
	}
	d.mu.Unlock()
	slices.SortFunc(uploads, func(a, b upload) int { return cmp.Compare(a.Key, b.Key) })
	writeXML(w, struct {
		XMLName     xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket      string
		IsTruncated bool
		Upload      []upload
	}{Bucket: t.bucket, Upload: uploads})
}

// list tells the objects that begin with the prefix, page by page, without folding them
// by delimiter.
func (d *Discard) list(w http.ResponseWriter, r *http.Request, t target) {
	type content struct {
		Key          string
		LastModified string
		ETag         string
		Size         int64
		StorageClass string
	}
	query := r.URL.Query()
	after := cmp.Or(query.Get("continuation-token"), query.Get("start-after"), query.Get("marker"))
	var all []content
	d.mu.Lock()
	for name, o := range d.objects {
		key, ok := strings.CutPrefix(name, t.bucket+"/")
		if ok && strings.HasPrefix(key, query.Get("prefix")) && key > after {
			all = append(all, content{key, stamp(o.at), o.etag, o.size, "STANDARD"})
		}
	}
	d.mu.Unlock()
	slices.SortFunc(all, func(a, b content) int { return cmp.Compare(a.Key, b.Key) })
	more, next := len(all) > pageSize, ""
	if all = all[:min(len(all), pageSize)]; more {
		next = all[pageSize-1].Key
	}
	writeXML(w, struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name, Prefix          string
		KeyCount, MaxKeys     int
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		NextMarker            string `xml:",omitempty"`
		Contents              []content
	}{
		Name: t.bucket, Prefix: query.Get("prefix"), KeyCount: len(all), MaxKeys: pageSize,
		IsTruncated: more, NextContinuationToken: next, NextMarker: next, Contents: all,
	})
}
