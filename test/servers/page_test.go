package servers

const introduction = `# Servers

What CargoShip does on S3 servers of several makes. ` + "`make test-servers`" + ` builds each server at the version below, starts it,
runs every case against it and writes this page; objects are read back by another client and compared by SHA-256. Ceph RGW is not
built: it runs where Debian's packages ` + "`ceph-mon`, `ceph-osd` and `radosgw`" + ` are installed, as a cluster of one monitor and one store in
memory on the loopback interface, and is skipped elsewhere; the page is then left as it is. ` + "`make test-servers SERVER=ceph`" + ` runs one
server alone, by the first word of its name. Amazon S3 itself is not here, since it cannot be started by a test.

`

const conclusion = `
**Proof** is what makes a file count: *CRC64NVME* and *CRC32C* are checksums that the server verifies, confirms and keeps;
*MD5* is that of each body, sent as Content-MD5 and compared with the ETag, for servers that confirm no checksum. All of them
find any damage by accident. [Decision 20](decisions/0020-a-digest-of-what-the-server-has-is-proof.md) says what each is worth.

**Refused** means that the run ends at once with a sentence that has the server's words.

Where a server lists no multipart uploads, a run that was killed cannot be resumed and may leave an upload open: give the
bucket a lifecycle rule that aborts incomplete uploads, if the server has such rules.

Any other server that runs already is put to the same cases by
` + "`go test ./test/servers -args -endpoint http://HOST:PORT -access-key ID -secret-key SECRET`" + `, in a bucket
named ` + "`bucket`" + `, which is made for it.
`
