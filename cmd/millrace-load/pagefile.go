package main

// This file is the file of -html: it is opened before the load, so that nobody waits for a page that cannot be written.

import (
	"fmt"
	"os"

	"millrace/bench/load"
	"millrace/bench/load/page"
)

// pageFile is the file of the page. The nil file is none.
type pageFile struct {
	file  *os.File
	isNew bool // it was not there before
}

// openPage opens the file, without a change of the page that may be in it. For no name it returns nil.
func openPage(name string) (*pageFile, error) {
	if name == "" {
		return nil, nil
	}
	_, before := os.Stat(name)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("the page of -html cannot be written, so nothing was run: %w: name a file in a folder that is "+
			"there and yours", err)
	}
	return &pageFile{file, os.IsNotExist(before)}, nil
}

// write writes the page in place of the one that was there.
func (p *pageFile) write(r *load.Result) error {
	if p == nil {
		return nil
	}
	if info, err := p.file.Stat(); err == nil && info.Mode().IsRegular() { // and no terminal or pipe
		if err := p.file.Truncate(0); err != nil {
			return err
		}
	}
	p.isNew = false
	_, err := p.file.Write(page.AppendHTML(nil, r))
	return err
}

// close closes the file, and removes it if it is new and no page came.
func (p *pageFile) close() {
	if p == nil {
		return
	}
	if p.isNew {
		os.Remove(p.file.Name())
	}
	p.file.Close()
}
