# frozen_string_literal: true

module Vegas
  # Records that cross in one frame, and what becomes of each. Their Deliveries point
  # here, so that a record costs few objects of its own. The producer's lock is held
  # around all but #result.
  class Batch
    FIELDS = 4 # of a record: key, hash key, headers, data

    attr_reader :producer, :count, :cost, :open
    # Number of the first record, once it is known.
    attr_accessor :first

    def initialize(producer)
      @producer = producer
      @parts = []
    end

    # Adds a record, and gives its index. It is in by the last step: Ctrl-C may come
    # between any two.
    def add(key, hash_key, headers, data, callback)
      index = @parts.size / FIELDS
      if callback
        (@callbacks ||= {})[index] = callback
      else
        @callbacks&.delete(index)
      end
      @parts.push(key, hash_key, headers, data)
      index
    end

    # How many records there are, before they have crossed.
    def size
      @count || (@parts.size / FIELDS)
    end

    # No more records come: says what they cost.
    def seal(record_cost)
      sizes = @parts.map(&:bytesize)
      @count = @open = sizes.size / FIELDS
      @costs = Array.new(@count)
      @rows = []
      @cost = 0
      i = 0
      while i < sizes.size
        key = sizes[i]
        hash_key = sizes[i + 1]
        headers = sizes[i + 2]
        data = sizes[i + 3]
        @rows.push(data, headers, key, hash_key)
        @costs[i / FIELDS] = cost = key + hash_key + headers + data + record_cost
        @cost += cost
        i += FIELDS
      end
      @results = Array.new(@count)
      @subs = []
    end

    # The body of the frame, made once.
    def body(producer)
      body = [producer, first, @count, *@rows].pack("VQ<V#{'VVvCx' * @count}")
      body << @parts.join.force_encoding(Encoding::BINARY)
      @parts = @rows = nil
      body
    end

    # A record has ended: with its place, which is shared by those of a Kinesis record,
    # or an error. Gives what it cost, nil if it had ended before.
    def finish(index, result, sub)
      return if @results[index]

      @subs[index] = sub
      @results[index] = result
      @open -= 1
      @costs[index]
    end

    # All that are open end with an error: yields the index of each.
    def fail_all(error)
      seal(0) unless @results
      @results.each_index { |i| yield i if finish(i, error, nil) }
    end

    def callback(index)
      @callbacks && @callbacks[index]
    end

    # A place or an error, nil before there is one.
    def result(index)
      @results && @results[index]
    end

    def sub(index)
      @subs[index]
    end

    # Somebody has looked at the failure.
    def look(index)
      (@seen ||= {})[index] = true
    end

    def overlooked?(index)
      !(@seen && @seen[index])
    end
  end
end
