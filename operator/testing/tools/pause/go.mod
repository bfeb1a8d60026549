module steamer.dev/test-ground/pause

go 1.26
