package databank.storage;

import io.delta.storage.HDFSLogStore;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Options.Rename;
import org.apache.hadoop.fs.Path;

/**
 * Delta's log on HDFS with checksums, on disk before it is visible, and never empty.
 *
 * <p>Delta's own store writes commits without checksums: a flipped byte in one is read as if it had been written so.
 * It does not wait for the disk either: after a power loss the newest commit can be a file of no bytes, which reads
 * as "nothing happened", and the next append makes the loss permanent. Here HDFS keeps its checksums, the bytes are
 * synced before the rename that makes the commit visible, and a commit without a line is an error.
 *
 * <p>Switched on by {@code spark.delta.logStore.hdfs.impl}.
 */
public final class DurableLogStore extends HDFSLogStore {
  private static final Pattern COMMIT = Pattern.compile("\\d{20}\\.json");

  public DurableLogStore(Configuration conf) {
    super(conf);
  }

  /** Write a new commit; of several writers of one version exactly one succeeds. */
  @Override
  public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration conf) throws IOException {
    FileContext files = FileContext.getFileContext(path.toUri(), conf);
    // The rename below is what decides; asking first only saves the writing.
    if (!overwrite && files.util().exists(path)) {
      throw new FileAlreadyExistsException(path.toString());
    }
    Path unseen = createTempPath(path);
    boolean isVisible = false;
    try {
      try (FSDataOutputStream out =
          files.create(unseen, EnumSet.of(CreateFlag.CREATE, CreateFlag.SYNC_BLOCK))) {
        while (actions.hasNext()) {
          out.write((actions.next() + "\n").getBytes(StandardCharsets.UTF_8));
        }
        out.hsync();
      }
      rename(files, unseen, path, overwrite);
      isVisible = true;
    } finally {
      if (!isVisible) {
        files.delete(unseen, false);
      }
    }
  }

  /**
   * The log's files from this one on; an error where a commit among them is empty. Delta lists before it reads, and
   * reads commits with Spark, not through this class: so this is the one place that sees every commit that counts.
   */
  @Override
  public Iterator<FileStatus> listFrom(Path path, Configuration conf) throws IOException {
    List<FileStatus> found = new ArrayList<>();
    super.listFrom(path, conf).forEachRemaining(found::add);
    for (FileStatus file : found) {
      if (file.getLen() == 0 && COMMIT.matcher(file.getPath().getName()).matches()) {
        throw new IOException(
            file.getPath() + " is empty, wanted the actions of a commit; a power loss may have cut it: restore it from "
                + "the backup, and let no writer start before `databank upkeep audit` finds nothing");
      }
    }
    return found.iterator();
  }

  private static void rename(FileContext files, Path from, Path to, boolean overwrite) throws IOException {
    try {
      files.rename(from, to, overwrite ? Rename.OVERWRITE : Rename.NONE);
    } catch (org.apache.hadoop.fs.FileAlreadyExistsException exists) {
      // Delta knows this conflict by Java's own class.
      throw new FileAlreadyExistsException(to.toString());
    }
  }
}
