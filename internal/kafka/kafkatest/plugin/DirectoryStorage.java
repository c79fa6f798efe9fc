package test.plugin;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

import org.apache.kafka.server.log.remote.storage.LogSegmentData;
import org.apache.kafka.server.log.remote.storage.RemoteLogSegmentMetadata;
import org.apache.kafka.server.log.remote.storage.RemoteLogSegmentMetadata.CustomMetadata;
import org.apache.kafka.server.log.remote.storage.RemoteResourceNotFoundException;
import org.apache.kafka.server.log.remote.storage.RemoteStorageException;
import org.apache.kafka.server.log.remote.storage.RemoteStorageManager;

/** Keeps segments in a folder of the broker's disk, one folder a segment. It asks for a password, and notes it there. */
public class DirectoryStorage implements RemoteStorageManager {
    private Path root;

    @Override
    public void configure(Map<String, ?> configs) {
        Object directory = configs.get("directory");
        Object password = configs.get("password");
        if (directory == null || password == null) {
            throw new IllegalArgumentException("directory and password are needed");
        }
        root = Path.of(directory.toString());
        try {
            Files.createDirectories(root);
            Files.writeString(root.resolve("password"), password.toString());
            Files.writeString(root.resolve("loader"), getClass().getClassLoader().getClass().getSimpleName());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Path folder(RemoteLogSegmentMetadata segment) {
        return root.resolve(segment.topicIdPartition().topicPartition() + "-" + segment.remoteLogSegmentId().id());
    }

    private static void put(Path from, Path folder, String name) throws IOException {
        Files.copy(from, folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public Optional<CustomMetadata> copyLogSegmentData(RemoteLogSegmentMetadata segment, LogSegmentData data)
            throws RemoteStorageException {
        Path folder = folder(segment);
        try {
            Files.createDirectories(folder);
            put(data.logSegment(), folder, "log");
            put(data.offsetIndex(), folder, IndexType.OFFSET.name());
            put(data.timeIndex(), folder, IndexType.TIMESTAMP.name());
            put(data.producerSnapshotIndex(), folder, IndexType.PRODUCER_SNAPSHOT.name());
            if (data.transactionIndex().isPresent()) {
                put(data.transactionIndex().get(), folder, IndexType.TRANSACTION.name());
            }
            byte[] epochs = new byte[data.leaderEpochIndex().remaining()];
            data.leaderEpochIndex().duplicate().get(epochs);
            Files.write(folder.resolve(IndexType.LEADER_EPOCH.name()), epochs);
        } catch (IOException e) {
            throw new RemoteStorageException(e);
        }
        return Optional.empty();
    }

    @Override
    public InputStream fetchLogSegment(RemoteLogSegmentMetadata segment, int start) throws RemoteStorageException {
        return fetchLogSegment(segment, start, Integer.MAX_VALUE);
    }

    @Override
    public InputStream fetchLogSegment(RemoteLogSegmentMetadata segment, int start, int end)
            throws RemoteStorageException {
        InputStream in = open(folder(segment).resolve("log"));
        try {
            in.skipNBytes(start);
        } catch (IOException e) {
            throw new RemoteStorageException(e);
        }
        return in; // to the end: Kafka reads what it needs
    }

    @Override
    public InputStream fetchIndex(RemoteLogSegmentMetadata segment, IndexType type) throws RemoteStorageException {
        return open(folder(segment).resolve(type.name()));
    }

    private static InputStream open(Path file) throws RemoteStorageException {
        if (!Files.exists(file)) {
            throw new RemoteResourceNotFoundException(file + " is not there");
        }
        try {
            return new FileInputStream(file.toFile());
        } catch (IOException e) {
            throw new RemoteStorageException(e);
        }
    }

    @Override
    public void deleteLogSegmentData(RemoteLogSegmentMetadata segment) throws RemoteStorageException {
        Path folder = folder(segment);
        if (!Files.exists(folder)) {
            return;
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
            Files.delete(folder);
        } catch (IOException e) {
            throw new RemoteStorageException(e);
        }
    }

    @Override
    public void close() {
    }
}
