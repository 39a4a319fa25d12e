# frozen_string_literal: true

module Vegas
  # What an external position function is asked with, and may answer with.
  Position = Struct.new(:sequence, :sub_sequence)

  # A shard that begins: position is behind which it would by what the store knows,
  # possession the fencing token, takeovers how many owners died there.
  ShardStart = Struct.new(:shard, :stream, :parents, :possession, :position, :takeovers, keyword_init: true)

  # One shard while it is this worker's: its own thread hands its records to the
  # program, in their order.
  class Shard
    # A chunk that takes long says what is done, as often as this.
    PROGRESS = 0.5
    ERROR_BYTES = 16 << 10 # of a failure's text, and
    ERRORS_BYTES = 8 << 20 # of those that cross together

    # A record was given back before anybody looked at it.
    class NotBegun < StandardError; end

    attr_reader :number, :id, :stream, :possession, :stopping

    # It begins behind the same shard's possession before, if that has not ended: a
    # handler may go on when its engine has died, or its lease is lost.
    def initialize(consumer, session, call, before = nil)
      @consumer = consumer
      @session = session
      @of = call['consumer']
      @number = call['shard']
      @id = call['id']
      @stream = call['stream'].to_s
      @possession = call['possession']
      @start = call
      @chunks = Queue.new
      @over = Queue.new
      @thread = Thread.new { run(before) }
      @thread.name = "vegas #{@id}"
    end

    def deliver(body)
      @chunks << body
    rescue ClosedQueueError
      nil # it came for a shard that has ended
    end

    # The engine wants no further record to begin.
    def stop(why)
      @stopping = Spec.constants.grep(/\AREASON_/).find { |c| Spec.const_get(c) == why }&.name&.delete_prefix('REASON_')&.downcase&.to_sym
    end

    # Whether an exception ends the program, and is nobody's failure.
    def self.signal?(error)
      error.is_a?(SystemExit) || error.is_a?(SignalException)
    end

    # Nothing more will come.
    def end
      @chunks.close
    end

    # The engine has died.
    def lost
      @stopping = :engine_gone
      @chunks.clear
      @chunks.close
    end

    # Waits until none of its handlers runs.
    def join
      @over.pop
    end

    def checkpoint(record)
      @session.call(Spec::METHOD_CHECKPOINT,
                    { consumer: @of, shard: @number, sequence: record.sequence, sub: record.sub_sequence })
    end

    def cancelled?
      %i[lease_lost grace_over engine_gone].include?(@stopping)
    end

    private

    def run(before)
      before&.join
      return unless answer_start

      while (body = @chunks.pop)
        begin
          chunk = Chunk.new(self, body)
        rescue StandardError => e
          return @session.refuse(e)
        end
        handle(chunk)
      end
    ensure
      @over.close
      @consumer.left(self)
    end

    # Says whether the shard has started.
    def answer_start
      position = @consumer.start_of(@start)
      results = position ? { sequence: position.sequence.to_s, sub: position.sub_sequence.to_i } : {}
      @session.answer(@start['call'], results)
      true
    rescue Exception => e # rubocop:disable Lint/RescueException -- the engine waits for an answer
      @session.answer(@start['call'], error: HandlerError.new(text_of(e)))
      raise if Shard.signal?(e)

      false
    end

    def handle(chunk)
      if chunk.dead?
        attempt(chunk, 0) { @consumer.bury(chunk.records.first, HandlerError.new(chunk.text)) }
      elsif @consumer.batch?
        chunk.done_all if !@stopping && attempt(chunk, 0) { @consumer.handle(chunk.records) }
      elsif @consumer.parallel > 1
        side_by_side(chunk)
      else
        one_by_one(chunk)
      end
    ensure
      settle(chunk, last: true)
    end

    # Calls the block for a record, and says whether it went well.
    def attempt(chunk, index)
      yield
      chunk.done(index)
      true
    rescue NotBegun
      false
    rescue Exception => e # rubocop:disable Lint/RescueException -- whatever a handler raises is its failure
      raise if Shard.signal?(e)

      chunk.failed(index, text_of(e))
      false
    end

    def one_by_one(chunk)
      told = Session.now
      chunk.records.each_with_index do |record, i|
        break if @stopping
        break unless attempt(chunk, i) { @consumer.handle(record) }

        now = Session.now
        next if now - told < PROGRESS

        settle(chunk)
        told = now
      end
    end

    # Records of one key still come one after the other: whoever takes a key takes
    # all of its records in this chunk.
    def side_by_side(chunk)
      keys = Queue.new
      chunk.records.each_index.group_by { |i| chunk.records[i].partition_key }.each_value { |indexes| keys << indexes }
      keys.close
      threads = Array.new([@consumer.parallel, keys.size].min) do
        Thread.new do
          while !@stopping && (indexes = keys.pop)
            indexes.each { |i| break if @stopping || !attempt(chunk, i) { @consumer.handle(chunk.records[i]) } }
          end
        end
      end
      threads.each { |t| settle(chunk) until t.join(PROGRESS) }
    end

    # Says what is done since it was said last, and at the end what failed.
    def settle(chunk, last: false)
      ranges, failures = chunk.outcome(last)
      return if ranges.empty? && !last

      body = [@of, @number, chunk.number, last ? 1 : 0, ranges.size, failures.size, *ranges.flatten]
             .pack("VVVCVV#{'VV' * ranges.size}")
      most = ERRORS_BYTES / [failures.size, 1].max
      failures.each do |index, text|
        text = text.byteslice(0, most).scrub('')
        body << [index, text.bytesize].pack('VV') << text.b
      end
      @session.write(Spec::KIND_SETTLE, body)
    end

    def text_of(error)
      error.full_message(highlight: false, order: :top).encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub.byteslice(0, ERROR_BYTES).scrub
    end
  end

  # A run of records of one shard, and what has become of them.
  class Chunk
    HEAD = 25 # bytes
    ROW = 'VVvCCCxvq<q<'
    ROW_BYTES = 32

    attr_reader :number, :text, :behind, :records

    def initialize(shard, body)
      raise Value::Malformed, 'deliver: cut off' if body.bytesize < HEAD

      _, _, @number, @behind, @flags, count, text = body.unpack('VVVVCVV')
      raise Value::Malformed, "deliver: #{count} records in #{body.bytesize} bytes" if HEAD + text + (count * ROW_BYTES) > body.bytesize

      @text = body.byteslice(HEAD, text).force_encoding(Encoding::UTF_8).scrub
      @records = read(shard, body, HEAD + text, count)
      @lock = Mutex.new
      @states = Array.new(count) # nil, :done, :told
      @failures = []
    end

    # Whether the attempts of its one record are used up.
    def dead?
      @flags.anybits?(1)
    end

    def done(index)
      @lock.synchronize { @states[index] = :done }
    end

    def done_all
      @lock.synchronize { @states.fill(:done) }
    end

    def failed(index, text)
      @lock.synchronize { @failures << [index, text] }
    end

    # Ranges of what is done and was not told yet, and at the end the failures.
    def outcome(last)
      @lock.synchronize do
        ranges = []
        @states.each_with_index do |state, i|
          next unless state == :done

          @states[i] = :told
          ranges.last && ranges.last[1] == i ? ranges.last[1] = i + 1 : ranges << [i, i + 1]
        end
        [ranges, last ? @failures : []]
      end
    end

    private

    def read(shard, body, rows, count)
      at = rows + (count * ROW_BYTES)
      sequence = ''
      Array.new(count) do |i|
        data, headers, key, hash, digits, flags, attempt, sub, arrival = body.unpack(ROW, offset: rows + (i * ROW_BYTES))
        k = at
        h = k + key
        s = h + hash
        sequence = body.byteslice(s, digits).force_encoding(Encoding::UTF_8) if digits.positive?
        m = s + digits
        d = m + headers
        at = d + data
        raise Value::Malformed, 'deliver: cut off' if at > body.bytesize

        Record.new(shard, body.byteslice(k, key).force_encoding(Encoding::UTF_8), body.byteslice(d, data),
                   body.byteslice(m, headers), hash.zero? ? nil : body.byteslice(h, hash).force_encoding(Encoding::UTF_8),
                   sequence, sub, arrival, attempt, flags.anybits?(1))
      end
    end
  end
end
